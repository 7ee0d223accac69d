"""DataModules over prepared faces, and the batched transforms that run on the device."""
