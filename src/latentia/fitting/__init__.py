"""`latentia fit`: from a folder of images to coordinates, pictures and a report, in minutes."""
