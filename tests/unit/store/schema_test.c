/* Opening: migration from nothing, refusal of what is newer, foreign, damaged, in the wrong place. */
#include "tests/unit/store/kit.h"

T(placeholder)
{
}
