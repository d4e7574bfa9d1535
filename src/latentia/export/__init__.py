"""Export of runs: ONNX, diffusers, and the Hugging Face hub."""
