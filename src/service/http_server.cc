#include "service/http_server.h"
