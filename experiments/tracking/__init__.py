"""What programs that show runs are told while a plan runs: MLflow, TensorBoard, Weights & Biases."""
