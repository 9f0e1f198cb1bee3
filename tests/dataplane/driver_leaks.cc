// What LeakSanitizer is not to tell of these tests: net_af_xdp keeps a description of its buffers, and of the program
// that it was given, when it is closed. Once a device, and never ours to free. Nor does each child list what was left out:
// what a test says is not to be found among that.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:xsk_umem__create\n"
         "leak:libbpf.so\n";
}
extern "C" const char* __lsan_default_options();
extern "C" const char* __lsan_default_options() { return "print_suppressions=0"; }
