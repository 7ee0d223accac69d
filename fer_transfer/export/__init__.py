"""What was trained, sent to somebody else: an ONNX file, weights that timm loads, a folder with a model card; and read again."""
