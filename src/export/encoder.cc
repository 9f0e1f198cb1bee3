#include "export/encoder.h"
