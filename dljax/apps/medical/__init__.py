"""What the application medical_imaging is made of: classification, segmentation."""
