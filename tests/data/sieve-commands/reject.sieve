require "reject";
reject "받을 수 없습니다.
No longer here.";
