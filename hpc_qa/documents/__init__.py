"""A file becomes Markdown, Markdown becomes chunks with numbered sentences, and both are cached by content.

`convert.convert_all` is the way in; `cache.DocumentCache` gives back what it made. Files of strangers are parsed only
in children with limits (`sandbox`). Prompts and questions are not known here.
"""
