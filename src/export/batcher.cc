#include "export/batcher.h"
