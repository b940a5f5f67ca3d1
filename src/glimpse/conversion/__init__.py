"""Conversion of disk images by ``qemu-img``, in processes with limits."""
