/* Disk full, broken disk, damaged file. */
#include "tests/tool/vfs_powercut.h"
#include "tests/unit/store/kit.h"

T(placeholder) {}
