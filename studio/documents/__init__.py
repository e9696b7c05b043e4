"""Documents: PDF, Word, slides, web pages, books and text cut into passages that keep their page, heading and offsets."""
