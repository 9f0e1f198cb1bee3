#include "packet/frame.h"
