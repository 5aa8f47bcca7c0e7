"""Pictures: what views, features and neighbours look like, from images and trained encoders."""
