/* The mboxes in the fixture's home, read and written as other programs do. */
#ifndef VMAIL_TESTS_MBOX_FILES_H
#define VMAIL_TESTS_MBOX_FILES_H

/* An entry that no delivery made. */
#define FOREIGN "From x@example.net Sat Nov 29 07:44:19 2025\nSubject: foreign\n\nnot ours\n\n"

/* g_free. */
char *mbox_file_path(const char *mailbox);
/* g_free; "" where there is none. */
char *mbox_file_text(const char *mailbox);
/* In place. */
void mbox_file_write(const char *mailbox, const char *text);
/* The first @from, which must be there, becomes @to. */
void mbox_file_replace(const char *mailbox, const char *from, const char *to);

#endif
