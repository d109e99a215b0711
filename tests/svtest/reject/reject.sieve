require "reject";
reject "우편을 받지 않습니다.";
