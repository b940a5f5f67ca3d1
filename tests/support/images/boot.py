"""A disk a PC with a BIOS really boots: it says hello on the screen and on the serial port, and halts."""

from tests.support.images.content import MIB, SECTOR
from tests.support.images.partitions import ACTIVE, BOOT_CODE_SIZE, TYPE_NON_FILESYSTEM, Partition, mbr_disk

MESSAGE = "Glimpse: this image boots."
LOADED_AT = 0x7C00  # where a BIOS puts, and enters, the first sector
FIRST_SECTOR = 64

SETUP = bytes.fromhex(
    "fa"  # cli
    "31c0"  # xor ax, ax
    "8ed8"  # mov ds, ax
    "8ed0"  # mov ss, ax
    "bc007c"  # mov sp, 0x7c00
    "fb"  # sti
    "fc"  # cld
    "bafb03b080ee"  # out 0x3fb, 0x80    line control of COM1: open the divisor latch
    "baf803b001ee"  # out 0x3f8, 1       115200 baud, low byte
    "42b000ee"  # out 0x3f9, 0       high byte
    "bafb03b003ee"  # out 0x3fb, 3       8 bits, no parity, 1 stop bit; latch closed
)
PRINT = bytes.fromhex(
    "ac"  # next: lodsb
    "84c0"  # test al, al
    "7417"  # jz halt
    "50"  # push ax
    "b40e"  # mov ah, 0x0e       BIOS: teletype output
    "bb0700"  # mov bx, 7          page 0, light grey
    "cd10"  # int 0x10
    "bafd03"  # mov dx, 0x3fd      line status of COM1
    "ec"  # wait: in al, dx
    "a820"  # test al, 0x20      transmitter empty? (a missing port reads 0xff)
    "74fb"  # jz wait
    "58"  # pop ax
    "baf803"  # mov dx, 0x3f8
    "ee"  # out dx, al
    "ebe4"  # jmp next
    "f4"  # halt: hlt
    "ebfd"  # jmp halt
)


def boot_code(message: str = MESSAGE) -> bytes:
    """16 bit code for the start of a boot sector, its message behind it."""
    text = message.encode("ascii") + b"\r\n\0"
    load_message = 3  # mov si, message
    message_at = LOADED_AT + len(SETUP) + load_message + len(PRINT)
    code = SETUP + b"\xbe" + message_at.to_bytes(2, "little") + PRINT + text
    if len(code) > BOOT_CODE_SIZE:
        raise ValueError("the message does not fit into a boot sector")
    return code


def bootable_disk(size: int = 4 * MIB, message: str = MESSAGE) -> bytes:
    """A raw disk with one active partition, full of noise that no compression makes smaller."""
    partition = Partition(
        start=FIRST_SECTOR, sectors=size // SECTOR - FIRST_SECTOR, kind=TYPE_NON_FILESYSTEM, flag=ACTIVE
    )
    return mbr_disk(size, partitions=[partition], boot_code=boot_code(message))
