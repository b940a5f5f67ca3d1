// Imports an image as programs in Go do it: Terraform's provider, for instance.
//
// usage: main URL SOURCE: URL is that of the image service, which asks for no token; SOURCE is where a web server has
// the data. Prints the ids of the images that were made with web-download and glance-direct, and that of the first
// image's task.
package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/gophercloud/gophercloud"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/imagedata"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/imageimport"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/images"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/tasks"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func create(client *gophercloud.ServiceClient, name string) string {
	options := images.CreateOpts{Name: name, DiskFormat: "raw", ContainerFormat: "bare"}
	image, err := images.Create(client, options).Extract()
	must(err)
	return image.ID
}

func wait(client *gophercloud.ServiceClient, id string) {
	for began := time.Now(); time.Since(began) < 45*time.Second; time.Sleep(100 * time.Millisecond) {
		image, err := images.Get(client, id).Extract()
		must(err)
		if image.Status == images.ImageStatusActive {
			return
		}
	}
	must(fmt.Errorf("image %s does not become active", id))
}

func main() {
	client := &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{TokenID: "none", HTTPClient: http.Client{}},
		Endpoint:       os.Args[1] + "/",
		ResourceBase:   os.Args[1] + "/v2/",
	}
	source := os.Args[2]

	info, err := imageimport.Get(client).Extract()
	must(err)
	fmt.Println(info.ImportMethods.Value)

	downloaded := create(client, "go web-download")
	options := imageimport.CreateOpts{Name: imageimport.WebDownloadMethod, URI: source}
	must(imageimport.Create(client, downloaded, options).ExtractErr())
	wait(client, downloaded)
	fmt.Println(downloaded)

	answer, err := http.Get(source)
	must(err)
	var data bytes.Buffer
	_, err = data.ReadFrom(answer.Body)
	must(err)
	staged := create(client, "go glance-direct")
	must(imagedata.Stage(client, staged, &data).ExtractErr())
	// this method has no URI: the library sends an empty one
	options = imageimport.CreateOpts{Name: imageimport.GlanceDirectMethod}
	must(imageimport.Create(client, staged, options).ExtractErr())
	wait(client, staged)
	fmt.Println(staged)

	pages, err := tasks.List(client, tasks.ListOpts{SortKey: "created_at", SortDir: "asc"}).AllPages()
	must(err)
	found, err := tasks.ExtractTasks(pages)
	must(err)
	for _, one := range found {
		task, err := tasks.Get(client, one.ID).Extract()
		must(err)
		if task.Input["image_id"] == downloaded {
			fmt.Println(task.ID, task.Type, task.Status, !task.ExpiresAt.IsZero())
		}
	}
}
