"""`python -m hpc_qa` is the same program as `hpc-qa`."""

from hpc_qa.cli.main import main

if __name__ == "__main__":
    main()
