/* bulkhead(8): the parent of all the others. */
#include "supervisor/supervise.h"

int
main(int argc, char **argv)
{
	return supervise(argc, argv);
}
