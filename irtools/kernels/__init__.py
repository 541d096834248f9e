"""The inner loops of the methods, each as reference code and as fused kernels behind one dispatcher."""
