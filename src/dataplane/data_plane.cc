#include "dataplane/data_plane.h"
