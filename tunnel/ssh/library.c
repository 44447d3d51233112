/* Which libssh2 this is and what it lacks, for doctor. */
#include "tunnel/ssh/session_internal.h"

const char *ssh_library(void)
{
#if LIBSSH2_VERSION_NUM >= 0x010b01
    return "libssh2 " LIBSSH2_VERSION;
#elif LIBSSH2_VERSION_NUM >= 0x010b00
    return "libssh2 " LIBSSH2_VERSION ": no strict key exchange";
#else
    return "libssh2 " LIBSSH2_VERSION
           ": no strict key exchange, no RSA with SHA-2, no hardware keys, no AES-GCM; "
           "ssh is used where these are needed";
#endif
}
