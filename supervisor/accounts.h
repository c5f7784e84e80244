#ifndef SUPERVISOR_ACCOUNTS_H
#define SUPERVISOR_ACCOUNTS_H
/*
 * Numbers of accounts, and who may serve them. The config process gives the
 * numbers, from ACCOUNT_FIRST in the order of the setting account_numbers, and
 * the supervisor keeps that list: a number is never given to another account
 * while the server runs. While a reload is under way the accounts of both
 * settings are served, of before and after.
 */
#include <stdbool.h>

struct settings;
struct supervisor;

/* Are numbers of `next` those of `before`, perhaps with more behind them, and not too many? */
bool accounts_continue(const struct settings *before, const struct settings *next);

/* Participant `number` serves all accounts from now on, or none any more. */
void accounts_enter(struct supervisor *s, unsigned number);
void accounts_leave(struct supervisor *s, unsigned number);

/* The settings in force, or those of the reload, are others than before: into the directory. */
void accounts_update(struct supervisor *s);
#endif
