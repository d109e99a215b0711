require "vnd.dovecot.pipe";
pipe "swallow" "a
b";
