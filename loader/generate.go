package loader

// The flags after -- make the object independent of the folder it is built in,
// so that anyone can regenerate it and compare.
//
//go:generate sh -c "go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -no-global-types -type addr -type listen -type vip -type service -type owner -type member -type host_key -type next_hop -type next_hop_key -type node_mac -type flow_key -type flow -type embryo -type member_counters -type service_counters -type drop_counter -type event -type control -type meta -type prefix -type rule -type source -type pace -type event_pace -type expire_args -type expire_keys -type imported -type import_args -type copy_args -type load -type trace -type drop_reason bpf ../bpf/sluice.bpf.c -- -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -mcpu=v3 -I/usr/include/$(uname -m)-linux-gnu -fdebug-compilation-dir=. -ffile-prefix-map=$(cd .. && pwd)=."
//go:generate sh -c "go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -no-global-types -type addr -type decap_source -type drop_counter -type decap_verdict decap ../bpf/decap.bpf.c -- -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -mcpu=v3 -I/usr/include/$(uname -m)-linux-gnu -fdebug-compilation-dir=. -ffile-prefix-map=$(cd .. && pwd)=."
