"""Discord: `render` shows the document model in Discord's Markdown; `limits` holds what is fixed."""
