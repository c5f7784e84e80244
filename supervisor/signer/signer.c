#include "common/bytes.h"
