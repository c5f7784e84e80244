#ifndef COMMON_ACCOUNT_H
#define COMMON_ACCOUNT_H
/* Accounts by number: given by the supervisor, never taken back while it runs. */
#define ACCOUNT_GLOBAL		1		/* $G */
#define ACCOUNT_SYSTEM		2		/* whatever its name: $SYS unless configured */
#define ACCOUNT_SERVER		3		/* what our processes tell each other; nobody else is in it */
#define ACCOUNT_FIRST		4		/* of those that the configuration names */
#define ACCOUNT_MOST		((1u << 20) - 1)
#endif
