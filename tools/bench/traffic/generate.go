package traffic

// As in package loader, the flags after -- make the object independent of the
// folder it is built in.
//
//go:generate sh -c "go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -no-global-types -type plan bpf bench.bpf.c -- -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -mcpu=v3 -I/usr/include/$(uname -m)-linux-gnu -fdebug-compilation-dir=. -ffile-prefix-map=$(pwd)=."
