#include "store/search_statement.h"

#include "store/mailbox_name.h"
#include "store/search_query.h"
#include "store/search_text.h"

/* Index tokens of one word at most: more do not make the answer smaller. */
#define TOKENS_PER_TEXT 16

void statement_init(struct statement *statement, enum db_kind kind, int64_t user_id)
{
    statement->kind = kind;
    statement->user_id = user_id;
    statement->sql = g_string_new(NULL);
    statement->values = g_array_new(FALSE, FALSE, sizeof(struct db_value));
    statement->strings = g_ptr_array_new_with_free_func(g_free);
}

void statement_clear(struct statement *statement)
{
    g_string_free(statement->sql, TRUE);
    g_array_unref(statement->values);
    g_ptr_array_unref(statement->strings);
}

void statement_add(struct statement *statement, const char *sql)
{
    g_string_append(statement->sql, sql);
}

/* Appends "$n" for a value. */
void statement_add_value(struct statement *statement, struct db_value value)
{
    g_array_append_val(statement->values, value);
    g_string_append_printf(statement->sql, "$%u", statement->values->len);
}

/* As add_value; owns @text. */
void statement_add_text(struct statement *statement, char *text)
{
    g_ptr_array_add(statement->strings, text);
    statement_add_value(statement, db_text(text));
}

void statement_add_int(struct statement *statement, int64_t number)
{
    statement_add_value(statement, db_int(number));
    /* PostgreSQL cannot tell the type of a bare parameter in every place */
    if (statement->kind == DB_PGSQL)
        statement_add(statement, "::bigint");
}

static void add_time(struct statement *statement, int64_t seconds)
{
    statement_add_value(statement, db_time(seconds));
    if (statement->kind == DB_PGSQL)
        statement_add(statement, "::timestamp");
}

/* ------------------------------------------------------------------ conditions */

/* The field that a text type looks into; QUERY_TEXT has none. */
static const char *const pgsql_fields[] = {
    [QUERY_TEXT] = "vmail_document(h.search_document, h.subject, h.sender, h.recipient)",
    [QUERY_SUBJECT] = "split_part(vmail_document(h.search_document, h.subject, h.sender, "
                      "h.recipient), chr(28), 1)",
    [QUERY_FROM] = "split_part(split_part(vmail_document(h.search_document, h.subject, h.sender, "
                   "h.recipient), chr(28), 2), chr(29), 1)",
    [QUERY_TO] = "split_part(split_part(vmail_document(h.search_document, h.subject, h.sender, "
                 "h.recipient), chr(29), 2), chr(30), 1)",
    [QUERY_CC] = "split_part(split_part(vmail_document(h.search_document, h.subject, h.sender, "
                 "h.recipient), chr(30), 2), chr(31), 1)",
    [QUERY_LIST] = "split_part(vmail_document(h.search_document, h.subject, h.sender, "
                   "h.recipient), chr(31), 2)",
};

#define SQLITE_DOCUMENT \
    "coalesce(h.search_document, lower(coalesce(h.subject, '') || char(28) || " \
    "coalesce(h.sender, '') || char(29) || coalesce(h.recipient, '') || char(30) || char(31)))"

/* SQLite has no split_part: between two separators. */
#define SQLITE_BETWEEN(from, to) \
    "substr(" SQLITE_DOCUMENT ", instr(" SQLITE_DOCUMENT ", char(" from ")) + 1, " \
    "instr(" SQLITE_DOCUMENT ", char(" to ")) - instr(" SQLITE_DOCUMENT ", char(" from ")) - 1)"

static const char *const sqlite_fields[] = {
    [QUERY_TEXT] = SQLITE_DOCUMENT,
    [QUERY_SUBJECT] =
        "CASE instr(" SQLITE_DOCUMENT ", char(28)) WHEN 0 THEN " SQLITE_DOCUMENT
        " ELSE substr(" SQLITE_DOCUMENT ", 1, instr(" SQLITE_DOCUMENT ", char(28)) - 1) END",
    [QUERY_FROM] = SQLITE_BETWEEN("28", "29"),
    [QUERY_TO] = SQLITE_BETWEEN("29", "30"),
    [QUERY_CC] = SQLITE_BETWEEN("30", "31"),
    [QUERY_LIST] = "CASE instr(" SQLITE_DOCUMENT ", char(31)) WHEN 0 THEN '' ELSE "
                   "substr(" SQLITE_DOCUMENT ", instr(" SQLITE_DOCUMENT ", char(31)) + 1) END",
};

bool search_is_text(enum query_type type)
{
    return type >= QUERY_TEXT && type <= QUERY_LIST;
}

/* "(field holds the text)". */
void statement_add_contains(struct statement *statement, enum query_type field, const char *text)
{
    statement_add(statement, statement->kind == DB_PGSQL ? "strpos(" : "instr(");
    statement_add(statement, (statement->kind == DB_PGSQL ? pgsql_fields : sqlite_fields)[field]);
    statement_add(statement, ", ");
    statement_add_text(statement, g_strdup(text));
    statement_add(statement, ") > 0");
}

/* The mailbox and all below it? No: exactly it, as the user named it; letters' case counts, but
 * INBOX's does not (RFC 3501 5.1). A name that cannot be a mailbox finds nothing. */
static void add_mailbox(struct statement *statement, const char *name)
{
    struct error ignored = {0};
    char *canonical;

    if (!mailbox_name_canonical(name, &canonical, &ignored)) {
        statement_add(statement, "FALSE");
        return;
    }
    statement_add(statement, "h.mailbox = ");
    statement_add_text(statement, canonical);
}

/* Flags stand in one column, separated by spaces: constants of ours, never data. */
static void add_flag(struct statement *statement, const char *name)
{
    g_string_append_printf(statement->sql, "h.flags LIKE '%%%s%s%%'",
                           statement->kind == DB_PGSQL ? "\\\\" : "\\", name);
}

static void add_joined(struct statement *statement, const struct query *query,
                       const char *separator)
{
    statement_add(statement, "(");
    for (size_t i = 0; i < query->n_children; i++) {
        if (i > 0)
            statement_add(statement, separator);
        statement_add_condition(statement, query->children[i]);
    }
    statement_add(statement, ")");
}

/* The condition itself, over email_headers h: what decides, whatever an index offers. */
void statement_add_condition(struct statement *statement, const struct query *query)
{
    switch (query->type) {
    case QUERY_AND:
        if (query->n_children == 0)
            statement_add(statement, "TRUE");
        else
            add_joined(statement, query, " AND ");
        return;
    case QUERY_OR:
        add_joined(statement, query, " OR ");
        return;
    case QUERY_NOT:
        /* a row without a value is not "not unknown": it is not what was asked */
        statement_add(statement, "NOT coalesce(");
        statement_add_condition(statement, query->children[0]);
        statement_add(statement, ", FALSE)");
        return;
    case QUERY_TEXT:
    case QUERY_FROM:
    case QUERY_TO:
    case QUERY_CC:
    case QUERY_SUBJECT:
    case QUERY_LIST:
        statement_add_contains(statement, query->type, query->text);
        return;
    case QUERY_IN:
        add_mailbox(statement, query->text);
        return;
    case QUERY_BEFORE:
    case QUERY_AFTER:
        statement_add(statement, query->type == QUERY_BEFORE ? "h.date < " : "h.date >= ");
        add_time(statement, query->number);
        return;
    case QUERY_LARGER:
        /* said as a constant, so that the partial index is seen to fit */
        if (query->number >= 1048576)
            statement_add(statement, "h.size >= 1048576 AND ");
        statement_add(statement, "h.size > ");
        statement_add_int(statement, query->number);
        return;
    case QUERY_SMALLER:
        statement_add(statement, "h.size < ");
        statement_add_int(statement, query->number);
        return;
    case QUERY_ATTACHMENT:
        statement_add(statement, "h.has_attachment");
        return;
    case QUERY_UNREAD:
        statement_add(statement, "NOT h.is_read");
        return;
    case QUERY_READ:
        statement_add(statement, "h.is_read");
        return;
    case QUERY_FLAGGED:
        add_flag(statement, "Flagged");
        return;
    case QUERY_ANSWERED:
        add_flag(statement, "Answered");
        return;
    case QUERY_DRAFT:
        add_flag(statement, "Draft");
        return;
    case QUERY_DELETED:
        add_flag(statement, "Deleted");
        return;
    }
}

/* ------------------------------------------------------------------ the token index */

/* What the index is asked for a text: all of the tokens, or one of them. */
struct tokens {
    GPtrArray *list;
    bool any;
};

static struct tokens tokens_of(const struct query *query, const char *prefix)
{
    struct tokens tokens = {search_query_tokens_new(prefix, query->text, TOKENS_PER_TEXT), false};

    if (tokens.list->len == 0) {
        g_ptr_array_unref(tokens.list);
        tokens = (struct tokens){search_query_choices_new(prefix, query->text), true};
    }
    return tokens;
}

/* PostgreSQL's array literal or FTS5's expression. Tokens hold letters, digits and '_' only
 * (search_text.h), so neither form needs escapes. */
static char *tokens_literal(enum db_kind kind, const struct tokens *tokens)
{
    const char *separator = kind == DB_PGSQL ? "," : " AND ";
    GString *out = g_string_new(kind == DB_PGSQL ? "{" : "");

    /* FTS5 looks for all that begins with the shortest one faster than for each */
    if (kind == DB_SQLITE && tokens->any) {
        g_string_append_printf(out, "\"%s\" *", (const char *)tokens->list->pdata[0]);
        return g_string_free(out, FALSE);
    }

    for (guint i = 0; i < tokens->list->len; i++)
        g_string_append_printf(out, "%s\"%s\"", i ? separator : "",
                               (const char *)tokens->list->pdata[i]);
    if (kind == DB_PGSQL)
        g_string_append_c(out, '}');
    return g_string_free(out, FALSE);
}

/* Can the index narrow @query? */
bool search_is_indexed(const struct query *query)
{
    if (search_is_text(query->type)) {
        struct tokens tokens = tokens_of(query, "");
        bool any = tokens.list->len > 0;

        g_ptr_array_unref(tokens.list);
        return any;
    }
    if (query->type != QUERY_AND && query->type != QUERY_OR)
        return false;
    for (size_t i = 0; i < query->n_children; i++)
        if (search_is_indexed(query->children[i]) != (query->type == QUERY_OR))
            return query->type == QUERY_AND;
    return query->type == QUERY_OR && query->n_children > 0;
}

/* FTS5: the expression of what is indexed in @query. */
static void append_match(GString *match, const struct query *query, const char *prefix)
{
    bool first = true;

    if (search_is_text(query->type)) {
        struct tokens tokens = tokens_of(query, prefix);
        g_autofree char *literal = tokens_literal(DB_SQLITE, &tokens);

        g_string_append_printf(match, "(%s)", literal);
        g_ptr_array_unref(tokens.list);
        return;
    }
    g_string_append_c(match, '(');
    for (size_t i = 0; i < query->n_children; i++) {
        if (!search_is_indexed(query->children[i]))
            continue;
        if (!first)
            g_string_append(match, query->type == QUERY_AND ? " AND " : " OR ");
        first = false;
        append_match(match, query->children[i], prefix);
    }
    g_string_append_c(match, ')');
}

/* PostgreSQL: the same as a condition on email_search s. In the parameter '#', which is in no token, stands
 * for the quarter. */
void statement_add_tokens(struct statement *statement, const struct query *query,
                          const char *period)
{
    bool first = true;

    if (search_is_text(query->type)) {
        g_autofree char *prefix = g_strdup_printf("%" G_GINT64_FORMAT "_#_", statement->user_id);
        struct tokens tokens = tokens_of(query, prefix);

        statement_add(statement, tokens.any ? "s.tokens && replace(" : "s.tokens @> replace(");
        statement_add_text(statement, tokens_literal(DB_PGSQL, &tokens));
        g_string_append_printf(statement->sql, ", '#', %s::text)::text[]", period);
        g_ptr_array_unref(tokens.list);
        return;
    }
    statement_add(statement, "(");
    for (size_t i = 0; i < query->n_children; i++) {
        if (!search_is_indexed(query->children[i]))
            continue;
        if (!first)
            statement_add(statement, query->type == QUERY_AND ? " AND " : " OR ");
        first = false;
        statement_add_tokens(statement, query->children[i], period);
    }
    statement_add(statement, ")");
}

void statement_add_candidates(struct statement *statement, const struct query *query, int period)
{
    g_autofree char *prefix = search_prefix_new(statement->user_id, period);
    GString *match = g_string_new(NULL);

    append_match(match, query, prefix);
    statement_add(statement,
                  "h.id IN (SELECT rowid FROM email_search WHERE email_search MATCH ");
    statement_add_text(statement, g_string_free(match, FALSE));
    statement_add(statement, ")");
}
