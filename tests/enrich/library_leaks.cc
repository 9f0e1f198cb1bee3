// What LeakSanitizer is not to tell of these tests: libmaxminddb keeps some of a file's metadata where what follows it is
// damaged. A few kilobytes for a file that is refused, and never ours to free.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libmaxminddb.so\n"; }
