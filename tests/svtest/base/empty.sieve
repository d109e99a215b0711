# nothing
/* at
 all */
