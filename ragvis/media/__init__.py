"""Pictures in: from files, bytes and URLs, checked and decoded to RGB."""
