"""Builders of objects, images, resources and processes that several tests share."""
