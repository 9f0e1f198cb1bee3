#include "dataplane/pipeline.h"
