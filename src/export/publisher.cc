#include "export/publisher.h"
