"""Distribution: strategies, meshes, layouts and processes."""
