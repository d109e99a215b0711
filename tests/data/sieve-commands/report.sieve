require "vnd.dovecot.report";
report :headers_only "abuse" "스팸입니다" "abuse@example.net";
