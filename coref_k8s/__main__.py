"""`python -m coref_k8s` is `coref-k8s`."""

from coref_k8s.cli.main import main

if __name__ == "__main__":
    main()
