require ["vnd.dovecot.pipe", "copy"];
pipe "swallow";
pipe :copy "swallow" "again";
