"python -m dlcv_gan: the same as the command `dlcv_gan`."
import sys

from dlcv_gan.cli.command import main

if __name__ == '__main__': sys.exit(main())
