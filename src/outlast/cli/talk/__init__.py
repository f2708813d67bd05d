"""What `outlast prompt` and `outlast chat` share: templates, schemas in words, attachments, the log, the terminal."""
