require "vnd.dovecot.pipe";
pipe "../bin/swallow";
