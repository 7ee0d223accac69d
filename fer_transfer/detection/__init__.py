"""From a frame to a face: detect, landmark, align, crop, and the sheets that show it."""
