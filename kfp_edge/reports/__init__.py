"""Reports of stages: checks, self-contained HTML pages and Markdown tables."""
