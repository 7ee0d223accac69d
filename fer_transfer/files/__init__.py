"""Archives, pictures, digests, journals: reading and writing files of which no data set is known."""
