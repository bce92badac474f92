"""Other job systems doing the same job. These modules run in an environment of the peers' own."""
