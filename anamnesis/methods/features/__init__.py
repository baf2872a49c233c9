"""What methods compute from images: class statistics, prototypes, frozen features, saliency maps."""
