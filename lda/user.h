/* Who gets the mail: the account behind an address, from the table that Postfix and Dovecot use. */
#ifndef VMAIL_USER_H
#define VMAIL_USER_H

#include "lda/base/error.h"
#include "store/store.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct config;
struct db;

struct user {
    int64_t id;     /* virtual_users.id */
    char *address;  /* the account's own address, as the table has it */
    char *detail;   /* "lists" of user+lists@domain; NULL without one */
    char *home;     /* absolute path */
    int64_t quota_bytes, quota_count; /* 0: no limit */
    bool mbox;      /* mail_format of this user is mbox */
    bool enabled;
};

enum user_answer { USER_FOUND, USER_NONE, USER_FAILED };

/* Looks @address up with user_query: first as it is, then, where recipient_delimiter stands in its
 * local part, without the detail. @address must be local@domain with components that are safe as
 * directories, else it is USER_NONE (such an account cannot exist). USER_NONE: @err says so in a
 * sentence, ERROR_NO_USER. USER_FAILED: the database does not answer, or it answers nonsense. */
enum user_answer user_look_up(struct db *db, const struct config *config, const char *address,
                              struct user **ret_user, struct error *err);

/* All accounts in the order of their addresses (user_list_query): GPtrArray of struct user. */
bool user_list(struct db *db, const struct config *config, GPtrArray **ret_users,
               struct error *err);

void user_free(struct user *user);
typedef struct user user_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(user_t, user_free) /* g_autoptr(user_t) */

/* The home as a path below vmail_root ("domain/user"), or NULL when it is not below it. Borrowed
 * from @user. */
const char *user_home_below_root(const struct user *user, const struct config *config);

/* Opens the home, made (0700) where @make and it is missing; below vmail_root without following
 * links. -1 on failure; err->code ENOENT where it does not exist yet. */
int user_open_home(const struct user *user, const struct config *config, bool make,
                   struct error *err);

/* The user as the store knows him; borrows from @user. @home: of user_open_home, -1: there is none. */
struct store_user user_in_store(const struct user *user, int home);

#endif
