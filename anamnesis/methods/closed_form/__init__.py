"""Classifiers in closed form from sums over the images of each site."""
